-- FusionPBX 5.4 and 5.5, one row for each extension: the extension is what rings, a login without one does not appear.
--
-- It reads columns by name only, so that grants on these columns are enough, and it compares flags as text, because
-- they are text until 5.4 and boolean from 5.5 on. Every "pick one" and every list is ordered: asked twice, the same
-- data gives the same answer. All joins are plain equalities, which the server can hash.
WITH
-- one row for each inbound number and each extension name that it is transferred to
transfer AS (
  SELECT
    d.domain_uuid,
    CASE
      WHEN d.destination_number LIKE '+%' THEN '+' || regexp_replace(d.destination_number, '\D', '', 'g')
      WHEN coalesce(d.destination_prefix, '') <> ''
        THEN '+' || regexp_replace(d.destination_prefix || d.destination_number, '\D', '', 'g')
      ELSE regexp_replace(d.destination_number, '\D', '', 'g')
    END AS number,
    split_part(step.data, ' ', 1) AS name,
    split_part(step.data, ' ', 3) AS context
  FROM v_destinations AS d
  CROSS JOIN LATERAL (
    SELECT entry ->> 'destination_app' AS app, entry ->> 'destination_data' AS data
    FROM json_array_elements(
      -- a number saved without an action holds the JSON value null, which has no elements
      CASE WHEN json_typeof(d.destination_actions) = 'array' THEN d.destination_actions ELSE '[]'::json END
    ) AS entry
    UNION ALL
    -- rows that an old release saved keep their one action in two columns
    SELECT d.destination_app, d.destination_data WHERE d.destination_actions IS NULL
  ) AS step
  WHERE d.destination_type = 'inbound'
    AND lower(d.destination_enabled::text) IN ('true', 't', '1')
    AND step.app = 'transfer'
),
-- an extension answers to its own name and to its number alias
answers AS (
  SELECT x.extension_uuid, x.domain_uuid, x.extension AS name FROM v_extensions AS x
  UNION
  SELECT x.extension_uuid, x.domain_uuid, x.number_alias FROM v_extensions AS x WHERE x.number_alias <> ''
),
-- The context of a transfer is a domain name, or else the number's own domain is meant. The user_context of an
-- extension is of no use here: call control rewrites it for a whole call group by a feature code.
numbers AS (
  SELECT a.extension_uuid, array_agg(DISTINCT t.number ORDER BY t.number) AS list
  FROM transfer AS t
  LEFT JOIN v_domains AS c ON c.domain_name = t.context
  JOIN answers AS a ON a.domain_uuid = coalesce(c.domain_uuid, t.domain_uuid) AND a.name = t.name
  WHERE t.number NOT IN ('', '+')
  GROUP BY a.extension_uuid
),
chain AS (
  SELECT f.follow_me_uuid,
         array_agg(f.follow_me_destination ORDER BY f.follow_me_order, f.follow_me_destination_uuid) AS list
  FROM v_follow_me_destinations AS f
  WHERE f.follow_me_destination <> ''
  GROUP BY f.follow_me_uuid
),
-- a shared extension has several logins, the one that came first owns it; links outlive their login
login AS (
  SELECT DISTINCT ON (l.extension_uuid) l.extension_uuid, u.username, u.user_email
  FROM v_extension_users AS l
  JOIN v_users AS u ON u.user_uuid = l.user_uuid
  ORDER BY l.extension_uuid, l.insert_date NULLS LAST, l.extension_user_uuid
),
-- nothing keeps mailboxes unique, the oldest of a name counts
mailbox AS (
  SELECT DISTINCT ON (m.domain_uuid, m.voicemail_id)
    m.domain_uuid, m.voicemail_id, m.voicemail_mail_to,
    lower(m.voicemail_enabled::text) IN ('true', 't', '1') AS takes_messages
  FROM v_voicemails AS m
  ORDER BY m.domain_uuid, m.voicemail_id, m.insert_date NULLS LAST, m.voicemail_uuid
),
station AS (
  SELECT
    x.extension_uuid, x.domain_uuid, x.extension, x.number_alias, x.follow_me_uuid,
    CASE WHEN x.number_alias ~ '^\d+$' THEN x.number_alias ELSE x.extension END AS mailbox_name,
    coalesce(
      nullif(btrim(x.effective_caller_id_name), ''),
      nullif(btrim(concat_ws(' ', x.directory_first_name, x.directory_last_name)), '')
    ) AS display_name,
    -- a target stays stored when its forward is switched off
    CASE WHEN lower(x.forward_all_enabled::text) IN ('true', 't', '1') THEN x.forward_all_destination END AS forward_all,
    CASE WHEN lower(x.forward_busy_enabled::text) IN ('true', 't', '1') THEN x.forward_busy_destination END AS forward_busy,
    CASE WHEN lower(x.forward_no_answer_enabled::text) IN ('true', 't', '1')
      THEN x.forward_no_answer_destination END AS forward_no_answer,
    lower(x.do_not_disturb::text) IN ('true', 't', '1') AS dnd,
    lower(x.follow_me_enabled::text) IN ('true', 't', '1') AS follows,
    lower(x.enabled::text) IN ('true', 't', '1') AS enabled
  FROM v_extensions AS x
)
SELECT
  s.extension_uuid AS pbx_user_id,
  s.domain_uuid AS account_key,
  d.domain_name AS account_label,
  s.display_name,
  lower(coalesce(nullif(login.user_email, ''), nullif(split_part(m.voicemail_mail_to, ',', 1), ''))) AS email,
  coalesce(n.list, '{}') AS did_numbers,
  coalesce(nullif(s.number_alias, ''), s.extension) AS extension,
  coalesce(m.takes_messages, false) AS voicemail_enabled,
  nullif(m.voicemail_mail_to, '') AS voicemail_email,
  nullif(s.forward_all, '') AS forward_all,
  nullif(s.forward_busy, '') AS forward_busy,
  nullif(s.forward_no_answer, '') AS forward_no_answer,
  coalesce(s.dnd, false) AS dnd,
  CASE WHEN s.follows THEN coalesce(chain.list, '{}') END AS follow_me,
  -- an extension of a domain that is switched off does not ring
  coalesce(s.enabled, false) AND coalesce(lower(d.domain_enabled::text) IN ('true', 't', '1'), false) AS enabled,
  login.username AS login_name
FROM station AS s
JOIN v_domains AS d ON d.domain_uuid = s.domain_uuid
LEFT JOIN login ON login.extension_uuid = s.extension_uuid
LEFT JOIN mailbox AS m ON m.domain_uuid = s.domain_uuid AND m.voicemail_id = s.mailbox_name
LEFT JOIN numbers AS n ON n.extension_uuid = s.extension_uuid
LEFT JOIN chain ON chain.follow_me_uuid = s.follow_me_uuid
