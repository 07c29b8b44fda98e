-- Edits of the demo PBX, in order, each on top of the one before, with the events that must come of them.

-- @step a direct number changes
-- @expect {"type":"user.updated","who":"alpha.example.com/1002","changes":{"did_numbers":[["+12125550102"],["+12125550172"]]}}
UPDATE v_destinations SET destination_number = '2125550172', update_date = now() WHERE destination_number = '2125550102';

-- @step do-not-disturb from the phone, which leaves update_date alone
-- @expect {"type":"user.updated","who":"bravo.example.net/1003","changes":{"dnd":[false,true]}}
UPDATE v_extensions SET do_not_disturb = 'true' WHERE extension_uuid = 'b2000000-0000-4000-8000-000000001003';

-- @step the feature code for do-not-disturb also ends a forward
-- @expect {"type":"user.updated","who":"alpha.example.com/1004","changes":{"dnd":[false,true],"forward_all":["12125550190",null]}}
UPDATE v_extensions SET do_not_disturb = 'true', forward_all_enabled = 'false'
 WHERE extension_uuid = 'a2000000-0000-4000-8000-000000001004';

-- @step saved without a change, a secret renewed, texts exchanged for NULL, calls and messages written
-- @expect none
UPDATE v_extensions SET update_date = now(), password = 'decoy-renewed', description = '', number_alias = coalesce(number_alias, '');
UPDATE v_users SET password = 'decoy-renewed', salt = '';
UPDATE v_xml_cdr SET caller_id_number = '12125550181';
INSERT INTO v_voicemail_messages (voicemail_message_uuid, caller_id_name) VALUES (gen_random_uuid(), 'somebody');

-- @step a call group's context is rewritten by a feature code
-- @expect none
UPDATE v_extensions SET user_context = 'night' WHERE domain_uuid = 'a1000000-0000-4000-8000-000000000000';

-- @step there and back between two looks
-- @expect none
UPDATE v_extensions SET effective_caller_id_name = 'Somebody Else' WHERE extension_uuid = 'a2000000-0000-4000-8000-000000001001';
UPDATE v_extensions SET effective_caller_id_name = 'Ana Costa' WHERE extension_uuid = 'a2000000-0000-4000-8000-000000001001';

-- @step rolled back
-- @expect none
BEGIN;
DELETE FROM v_extensions;
ROLLBACK;

-- @step two users swap their numbers
-- @expect {"type":"user.updated","who":"bravo.example.net/1004","changes":{"did_numbers":[["+442079460204"],["+442079460205"]]}}
-- @expect {"type":"user.updated","who":"bravo.example.net/1005","changes":{"did_numbers":[["+442079460205"],["+442079460204"]]}}
BEGIN;
UPDATE v_destinations SET destination_actions = '[{"destination_app":"transfer","destination_data":"1005 XML bravo.example.net"}]'
 WHERE destination_number = '+442079460204';
UPDATE v_destinations SET destination_actions = '[{"destination_app":"transfer","destination_data":"1004 XML bravo.example.net"}]'
 WHERE destination_number = '+442079460205';
COMMIT;

-- @step a number moves to another domain
-- @expect {"type":"user.updated","who":"alpha.example.com/1008","changes":{"did_numbers":[["+12125550108"],[]]}}
-- @expect {"type":"user.updated","who":"bravo.example.net/1008","changes":{"did_numbers":[["+442079460208"],["+12125550108","+442079460208"]]}}
UPDATE v_destinations SET destination_actions = '[{"destination_app":"transfer","destination_data":"1008 XML bravo.example.net"}]'
 WHERE destination_number = '2125550108';

-- @step an extension is renumbered: its number leads nowhere, its mailbox stays behind
-- @expect {"type":"user.updated","who":"charlie.example.org/1004","changes":{"did_numbers":[["+442079460504"],[]],"extension":["1004","1204"],"voicemail_enabled":[true,false],"voicemail_email":["vm1004@charlie.example.org",null]}}
UPDATE v_extensions SET extension = '1204', update_date = now() WHERE extension_uuid = 'c2000000-0000-4000-8000-000000001004';

-- @step an extension is deleted, its mailbox first, its number stays
-- @expect {"type":"user.deleted","who":"alpha.example.com/1012"}
DELETE FROM v_voicemails WHERE voicemail_uuid = 'a5000000-0000-4000-8000-000000001012';
DELETE FROM v_extension_users WHERE extension_uuid = 'a2000000-0000-4000-8000-000000001012';
DELETE FROM v_extensions WHERE extension_uuid = 'a2000000-0000-4000-8000-000000001012';

-- @step the deleted extension is restored under its old key
-- @expect {"type":"user.created","who":"alpha.example.com/1012"}
INSERT INTO v_extensions (extension_uuid, domain_uuid, extension, effective_caller_id_name, enabled, insert_date)
VALUES ('a2000000-0000-4000-8000-000000001012', 'a1000000-0000-4000-8000-000000000000', '1012', 'Lena Vogt', 'true', '2020-01-01');

-- @step deleted and made anew under the same number: another key, another user
-- @expect {"type":"user.deleted","who":"bravo.example.net/1013"}
-- @expect {"type":"user.created","who":"bravo.example.net/1013"}
DELETE FROM v_extensions WHERE extension_uuid = 'b2000000-0000-4000-8000-000000001013';
INSERT INTO v_extensions (extension_uuid, domain_uuid, extension, effective_caller_id_name, enabled, insert_date)
VALUES ('b2000000-0000-4000-8000-000000002013', 'b1000000-0000-4000-8000-000000000000', '1013', 'Dina Wolf', 'true', now());

-- @step follow-me gets another order
-- @expect {"type":"user.updated","who":"charlie.example.org/1010","changes":{"follow_me":[["1010","12125550195"],["12125550195","1010"]]}}
UPDATE v_follow_me_destinations SET follow_me_order = 1 - follow_me_order
 WHERE follow_me_uuid = 'c7000000-0000-4000-8000-000000001010';

-- @step a shared extension loses its first owner
-- @expect {"type":"user.updated","who":"bravo.example.net/1002","changes":{"email":["ruth@bravo.example.net","admin@bravo.example.net"],"login_name":["user1001","admin"]}}
DELETE FROM v_extension_users WHERE extension_user_uuid = 'b4000000-0000-4000-8000-000000001002';

-- @step upgrade to 5.5: every flag changes its type under the running source
-- @expect none

-- @step the first edit after the upgrade
-- @expect {"type":"user.updated","who":"alpha.example.com/1001","changes":{"enabled":[true,false]}}
UPDATE v_extensions SET enabled = false, update_date = now() WHERE extension_uuid = 'a2000000-0000-4000-8000-000000001001';

-- @step a domain is renamed everywhere
-- @expect none
UPDATE v_domains SET domain_name = 'delta.example.org' WHERE domain_name = 'charlie.example.org';
UPDATE v_extensions SET user_context = 'delta.example.org', accountcode = 'delta.example.org'
 WHERE domain_uuid = 'c1000000-0000-4000-8000-000000000000';
UPDATE v_destinations SET destination_actions = replace(destination_actions::text, 'charlie.example.org', 'delta.example.org')::json
 WHERE domain_uuid = 'c1000000-0000-4000-8000-000000000000';

-- @step a domain is switched off: one row, all its users but the one who was off
-- @expect {"type":"user.updated","each":"bravo.example.net/*","count":13,"changes":{"enabled":[true,false]}}
UPDATE v_domains SET domain_enabled = false WHERE domain_name = 'bravo.example.net';

-- @step and on again
-- @expect {"type":"user.updated","each":"bravo.example.net/*","count":13,"changes":{"enabled":[false,true]}}
UPDATE v_domains SET domain_enabled = true WHERE domain_name = 'bravo.example.net';
